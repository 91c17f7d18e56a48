"""Real servers for the tests: databases, emulators of clouds, object stores."""
