mod any;
mod bounds;
mod properties;
mod vectors;
