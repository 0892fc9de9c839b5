def tratar(df):
    return df
