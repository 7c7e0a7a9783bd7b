"""What is an embedding: words and samples as points, with what lies nearest to each."""
