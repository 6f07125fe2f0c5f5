//! Memory and PostgreSQL agree.
