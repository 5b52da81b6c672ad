mod mutation;
mod recorded;
mod shapes;
