"""One SQLite file of a home folder: opened, brought up to date after a backup, read and written in transactions.

Every use opens its own connection, so a `Database` may be shared by threads; processes share the file in
write-ahead mode.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from inference.errors import StoreUnavailable

DATABASE_NAME = "batchscope.db"
BUSY_TIMEOUT_S = 10.0


class Database:
    """The database of one home folder; made, or migrated after a backup, when first opened.

    `functions` are what the migrations may call from SQL, by name: how many arguments, and the function.
    Raises `StoreUnavailable` when the folder cannot be written or the database is of a newer version.
    """

    def __init__(self, home: Path, functions: Mapping[str, tuple[int, Any]]) -> None:
        self.home = home
        self.path = home / DATABASE_NAME
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds what opens the Ray Dashboard
            self._migrate(functions)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(
                f"The home folder {home} cannot be used: {error}. Free some space or make it writable, "
                "or set BATCHSCOPE_HOME to another folder."
            ) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database over several statements."""
        with _plain_errors(self.home), self._connection() as db:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are all made, or none if the block raises."""
        with _plain_errors(self.home), self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA synchronous = NORMAL")
            yield db
        finally:
            db.close()

    def _migrate(self, functions: Mapping[str, tuple[int, Any]]) -> None:
        steps = sorted(
            (path for path in resources.files("inference.migrations").iterdir() if path.name.endswith(".sql")),
            key=lambda path: path.name,
        )
        with self._connection() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(steps):
                raise StoreUnavailable(
                    f"{self.path} was written by a newer Batchscope (version {version}, this one knows "
                    f"{len(steps)}). It was left as it is: install the newer one, or choose another folder with "
                    "BATCHSCOPE_HOME."
                )
            if version == len(steps):
                return
            if version > 0:
                with sqlite3.connect(self.path.with_suffix(f".v{version}.bak")) as backup:
                    db.backup(backup)
                backup.close()
            db.execute("PRAGMA journal_mode = WAL")
            for name, (arguments, function) in functions.items():
                db.create_function(name, arguments, function, deterministic=True)
            for number, step in enumerate(steps, start=1):
                self._apply(db, number, step.read_text(encoding="utf-8"))
            if version > 0:
                db.execute("VACUUM")  # what a step moved leaves its old room behind

    @staticmethod
    def _apply(db: sqlite3.Connection, number: int, script: str) -> None:
        # Two processes may open a new home folder together: the second finds the step done once it has the lock.
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] >= number:
            db.execute("COMMIT")
            return
        try:
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number:d}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one: `executescript` would end the transaction that makes a step whole."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


@contextmanager
def _plain_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"The database in {home} could not be used: {error}. Free some space or make the folder writable; "
            "nothing that was stored is lost."
        ) from error
