"""What runs inside the twin, by its interpreter: nothing here imports the rest of `deploy`."""
