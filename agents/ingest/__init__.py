"""What others send us by REST, brought onto topics; and what every receiver shares."""
