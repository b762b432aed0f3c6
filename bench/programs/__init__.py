"""The programs that are measured, each a process of its own; they find the server in sentry-cli's variables."""
