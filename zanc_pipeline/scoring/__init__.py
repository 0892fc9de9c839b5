"""Point-in-time features, training, registry and batch scoring of the XGBoost models."""
