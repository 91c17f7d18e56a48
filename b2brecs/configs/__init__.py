"""The nouns: frozen, checked, equal by value; exactly what the registry stores."""
