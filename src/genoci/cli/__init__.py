"""The only code that prints, prompts or exits."""
