"""The simulated plant: real protocol servers around one process model; knows no adapter and no broker."""
