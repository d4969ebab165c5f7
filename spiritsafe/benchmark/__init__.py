"""A score for a defense: one fixed, versioned protocol, one card."""
