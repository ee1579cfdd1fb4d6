"""What each resource type is told: one record for each, in a module with the name of the type."""
