def tratar(df):
    df["valor"] = df["valor"].str.replace("BRL", "").str.replace("(aberto)", "").str.strip()
    return df[~df["nome"].str.startswith("SUBTOTAL")]
