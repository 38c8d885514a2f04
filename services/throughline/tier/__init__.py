"""Reference implementation of the outside service where people answer: it keeps pairs, and calls AnnotationResult back."""
