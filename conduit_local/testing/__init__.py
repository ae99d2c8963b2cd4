"""The pytest plugin and what it needs. Its place in the house; there is nothing in it yet."""
