"""Instructions of each operation, counted by callgrind and compared with the record kept beside this file."""
