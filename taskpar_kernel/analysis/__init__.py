"""Pure: statements come in, predicted effects go out; library knowledge is data in `tables`."""
