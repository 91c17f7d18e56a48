"""The home on this machine: DuckDB, SQLite, the OS keyring, and threads of this process."""
