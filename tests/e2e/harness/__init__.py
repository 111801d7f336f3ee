"""What the tests with real peers stand on: processes, addresses, and the peers themselves."""
