"""The durable workflow of a job: the only code that knows the order of the stages. It moves references, never footage."""
