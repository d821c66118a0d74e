"""The fitted filters in the formats of the engines that people deploy on."""
