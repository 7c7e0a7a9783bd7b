"""What is attention: where on a photo the decoder looked while it wrote each word of a caption."""
