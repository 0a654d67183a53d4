import socket

socket.create_connection(('example.invalid', 443))
