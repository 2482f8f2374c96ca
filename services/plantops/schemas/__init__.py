"""What people of other languages need, made from the code: schemas, AsyncAPI, streams, bytes, vectors.

It runs where PlantOps is developed, and needs the development dependencies. Nothing imports it.
"""
