"""The second home: the same HTTP contract on Ray Serve, on one machine or many, and a bulk job on Ray Data."""
