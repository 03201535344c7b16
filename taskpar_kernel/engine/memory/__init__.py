"""What was learned of statements, kept from session to session: no values, no source text."""
