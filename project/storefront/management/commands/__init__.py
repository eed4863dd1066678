"""load_demo fills the site, demo_tour shows it in the terminal."""
