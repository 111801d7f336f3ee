"""The demonstration of data centres: two applications in three of them; one dies, one is left by a document."""
