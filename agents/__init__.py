"""The shell: everything that touches the world, and no opinion of its own."""
