"""Changes one token of the code at a time and asks whether a test notices: mutation testing."""
