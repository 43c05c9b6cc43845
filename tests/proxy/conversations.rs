//! What is ours: taken out, put in, and answered for the client.
