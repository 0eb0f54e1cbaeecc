"""From a configuration to objects: the only room that knows both what is written there and what it builds."""
