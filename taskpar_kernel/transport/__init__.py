"""Values ↔ frames ↔ sockets and segments. zmq is imported only here, pickling is done only here."""
