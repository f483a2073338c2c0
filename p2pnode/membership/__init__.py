"""Who is here: member records, how long each member has been silent, and its failure domain."""
