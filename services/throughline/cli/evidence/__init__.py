"""Evidence, checked: is a film, and what it rests on, still what was sworn to?"""
