# What an application has before the recipe begins: a table of accounts with sealed tokens.
export TOKEN_KEY='the key of the tests'
export DATABASE_URL="postgresql+psycopg:///?host=$PGHOST&user=$PGUSER&dbname=$PGDATABASE"
python - <<'PY'
import datetime
import os

from models import Base, OAuthAccount
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine(os.environ["DATABASE_URL"])
Base.metadata.create_all(engine)
with Session(engine) as session:
    for i in range(20):
        account = OAuthAccount(
            tenant=f"org-{i}",
            provider="github",
            account=f"user:{i}",
            access_token=f"gho_{i}",
            refresh_token=f"ghr_{i}",
            expires_at=datetime.datetime(2031, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
            scope="repo user",
        )
        session.add(account)
    session.commit()
PY
