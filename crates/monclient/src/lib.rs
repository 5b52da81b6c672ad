//! A client of the monitors: hunting, authentication, subscriptions, commands.
