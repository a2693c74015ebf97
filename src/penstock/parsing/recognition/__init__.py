"""Text in pictures: Tesseract, where its language data is installed."""
