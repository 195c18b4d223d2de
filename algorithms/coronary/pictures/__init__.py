"""What the render stage draws."""
