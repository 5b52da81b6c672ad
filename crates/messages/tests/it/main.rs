mod mutation;
mod recorded;
