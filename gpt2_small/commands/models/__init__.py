"""Define the commands that use a trained model: sample, chat, evaluate, export, app, serve."""
