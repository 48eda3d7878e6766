// A CommonJS module with a state of its own.

exports.visits = 0;
