"""Everything on one machine: embedded PostgreSQL and Redis, the supervisor, `penstock up`."""
