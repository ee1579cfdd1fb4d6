"""What servers log when they fail, a module for each engine; `patterns` tries them."""
