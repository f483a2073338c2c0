"""What our own audits say of others: verdicts, and the score that follows from them. Nobody's hearsay counts."""
