"""From candidates and what is known of the user to one ordered, explained list; numpy only."""
