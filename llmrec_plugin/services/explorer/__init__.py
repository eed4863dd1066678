"""Shows any list as any user, beside another, with every score explained."""
