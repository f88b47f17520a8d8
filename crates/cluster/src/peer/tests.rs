mod bounds;
mod exchange;
mod handshake;
mod support;
