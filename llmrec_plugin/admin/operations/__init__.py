"""Pages that show how the machine is: status, backlog, versions, learning, events."""
