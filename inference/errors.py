"""The few errors that a person may meet: each says what happened, why, and what to do next."""


class BatchscopeError(Exception):
    """Base of every error that is shown to a person as it stands."""


class InvalidConfig(BatchscopeError):
    """A setting is outside its range or does not fit another one; the message names the setting."""


class DoesNotFit(BatchscopeError):
    """The settings are valid, but this machine cannot run them; the message shows the sum."""


class DataUnavailable(BatchscopeError):
    """The images cannot be listed or reached."""


class ModelUnavailable(BatchscopeError):
    """The model cannot be found, reached, or is not one that we load."""


class RunFailed(BatchscopeError):
    """A run ended without its results: its workers failed, or it made no progress."""


class RunCancelled(BatchscopeError):
    """Someone asked for the run to stop."""


class InvalidBundle(BatchscopeError):
    """A file of runs cannot be written or read in; the message says why, and nothing of it was taken."""


class StoreUnavailable(BatchscopeError):
    """The home folder or its database cannot be read or written."""
