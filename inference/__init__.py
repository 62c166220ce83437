"""Everything that measures, runs and stores: no page, no Streamlit."""
